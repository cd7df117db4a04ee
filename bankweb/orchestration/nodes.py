"""What the site knows of each node, as rows for pages and REST.

:func:`node_row` gives a dict:

``id``, ``cluster``, ``host``, ``port``
    from the topology.
``connected``
    whether the worker's control connection is open.
``age_s``
    seconds since its last status, None if there was none.
``state``
    ``up``, ``failed`` (by F), ``paused``, ``killed`` (on purpose), or ``down`` (not connected).
``role``
    ``leader``, ``follower``, ``candidate``, ``learner``; "" unknown.
``ballot``
    ``[round, node]`` or None.
``leader``
    node it follows, 0 unknown.
``watermark``, ``applied``, ``proposed``, ``checkpoint``, ``lag``, ``queue``, ``in_flight``, ``sessions``,
``epoch``, ``incarnation``, ``journal_bytes``
    ints, 0 when unknown.
``uptime_s``
    float.
``actions``
    what may be done to it now, of ``fail recover kill restart pause resume``, in this order.
"""
