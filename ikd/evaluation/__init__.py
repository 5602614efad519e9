"""What trained networks show: how alike their class maps are, and how well explainers tell classes apart."""
