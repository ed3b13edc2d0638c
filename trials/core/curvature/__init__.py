"""Curvature: Gauss-Newton matrices of networks, and the damped steps that they give."""
