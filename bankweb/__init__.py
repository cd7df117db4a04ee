"""The site: pages, REST, live sockets, and what outlives a day. The bank itself is in ``consensus``."""
