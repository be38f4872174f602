"""Damaged inputs by the thousand: a reader refuses them in one line, or reads what is there; it never dies or hangs."""
