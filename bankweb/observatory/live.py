"""The live hub: what workers tell, in one order, folded into one state and sent to every browser.

Frames of ``/ws/live/``, JSON text, site to browser:

* ``{"type":"key","q":int,"run":str,"state":{…}}``: first, and after each gap, reset or overflow. ``state``
  is the fold of everything up to order number ``q``; the next frame goes on right after it.
* ``{"type":"frame","f":int,"events":[…],"dropped":int}``: at most 20 a second, the same bytes to
  every browser; ``f`` counts frames of this run, ``dropped`` the events left out since the frame before,
  by workers or here. A frame without events is sent once a second, so that silence is told from loss.
* ``{"type":"gap","from":int,"to":int}``: this browser was too slow and the frames ``from``..``to`` were not
  sent to it. A key follows.

Browser to site:

* ``{"type":"ack","f":int}``: frames up to ``f`` are taken in. Send one for each frame (or each tenth).
  From the first ack on, at most ``FRAMES_AHEAD_MAX`` unacknowledged frames are under way; newer
  ones wait, and when more than ``QUEUE_FRAMES_MAX`` wait they are given up: gap, then key.
* ``{"type":"watch","level":1|2}``: 2 asks the workers for single messages (``msg.*``) as well.

Close codes: 4401 not signed in, 4400 not one of these messages.

Events are those of :mod:`consensus.trace.events`. Status of nodes travels as ``agg`` events of node 0
(``nodes`` only), at most one a tick, holding the nodes whose status changed; ``node.up`` and
``node.down`` without ``inc`` come from the site, when a worker's control connection opens or ends;
``ctl`` tells what people did here (actor, cmd, args, result).
"""
