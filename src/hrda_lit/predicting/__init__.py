"""Predicting pictures: what goes in, the predictor, what is written, archives for test servers."""
