"""What is measured of trained networks: calibration, robustness, how good explanations and how alike maps are."""
