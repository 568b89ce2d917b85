"""One lane of an elementwise op: `emitter` (the protocol that its expression is written against),
`numpy_emitter` (numpy arrays as lanes), `cost` (instructions per lane)."""
