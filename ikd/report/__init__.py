"""A run as one page of HTML: what it is, its curves and pictures, how well it does and beside which others."""
