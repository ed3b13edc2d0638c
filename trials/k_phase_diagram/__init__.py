"""The K phase diagram: training on a linearisation that is renewed every K steps."""
