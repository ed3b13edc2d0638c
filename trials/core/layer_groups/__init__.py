"""Networks with batch normalisation, and those of other libraries, as ordered named groups of layers."""
