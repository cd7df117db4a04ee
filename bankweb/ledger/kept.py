"""Transactions this site keeps: those sent by forms and by single REST calls, with their outcome.

:func:`describe` gives a kept transaction to pages as a dict:

``id``, ``outcome`` (``committed|aborted|unknown|refused``), ``reason`` (str or None), ``kind``
(``intra|cross``), ``clusters`` (list of int), ``positions`` (list of ``{"cluster", "ballot", "slot",
"index"}``), ``accounts`` (``{"21": {"version", "balance"}}``), ``epoch``, ``latency_ms``: as in REST.
``legs``
    list of ``[account, delta]``; empty when not known here.
``sender``, ``receiver``, ``amount``
    ints of a two-leg transfer, else None.
``source``
    ``form``, ``rest`` or ``batch``.
``actor``
    who sent it.
``created``
    aware datetime.
``url``
    its page.
``text``
    one sentence: what happened to it, with slot and ballot.
"""
