"""A local web page over runs: classes, clips, and where attention went."""
