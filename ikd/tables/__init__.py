"""What grids and runs side by side say: tables, their statistics, searches, the paper's figures."""
