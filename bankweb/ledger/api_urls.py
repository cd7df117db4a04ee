"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.ledger import accounts, ambient_api, audits, steps_api, transactions

urlpatterns = [
    path("transactions/", transactions.Transactions.as_view(), name="api-transactions"),
    path("transactions/batch/", transactions.TransactionBatch.as_view(), name="api-transaction-batch"),
    path("transactions/<str:tx_id>/", transactions.TransactionDetail.as_view(), name="api-transaction"),
    path(
        "transactions/<str:tx_id>/steps/", steps_api.TransactionSteps.as_view(), name="api-transaction-steps"
    ),
    path("accounts/", accounts.Accounts.as_view(), name="api-accounts"),
    path("accounts/summary/", accounts.AccountSummary.as_view(), name="api-account-summary"),
    path("accounts/<int:account>/", accounts.AccountDetail.as_view(), name="api-account"),
    path("accounts/<int:account>/replicas/", accounts.AccountReplicas.as_view(), name="api-account-replicas"),
    path("ambient/", ambient_api.AmbientTraffic.as_view(), name="api-ambient"),
    path("audit/", audits.Audit.as_view(), name="api-audit"),
]
