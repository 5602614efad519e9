"""What grids, runs side by side and evaluations say: tables, their statistics, searches, figures."""
