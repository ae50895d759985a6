"""Peers and audiobag side by side: `make bench`. Each module measures one thing and returns its rows."""
