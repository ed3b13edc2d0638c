"""The sweep service, from a study's declaration to finished trials: the only place that knows Ray and Hydra."""
