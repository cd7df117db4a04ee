from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_kept_steps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Switch",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("on", models.BooleanField()),
            ],
        ),
    ]
