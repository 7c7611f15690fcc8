"""How good a trained network is: accuracy, calibration, localization."""
