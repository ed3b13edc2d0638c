"""The sweep service, from a study's declaration to finished trials: the only place that knows Ray and Hydra.

A room belongs to whoever runs it: `commands` knows `driver`, `driver` knows `worker`, and none looks back. What all of
them speak of lies beside the rooms: studies, messages, provenance, errors.
"""
