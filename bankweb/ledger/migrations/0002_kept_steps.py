from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0001_first"),
    ]

    operations = [
        migrations.AddField(
            model_name="kept",
            name="steps",
            field=models.BinaryField(null=True),
        ),
    ]
