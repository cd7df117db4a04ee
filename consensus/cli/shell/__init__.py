"""The bank shell: typed commands against a private bank or, through REST, against a site's."""
