"""What `tt.compile` gives: a call is a signature, a specialization is what was traced and compiled for one.

Read `options` (how a function is compiled) and `signature` (what a call looks like); `passed` (graphs behind the
passes, on disk) and `calls` (a graph made ready to be called); `specialization` (when what was compiled is still right)
and `compilations` (why a function was compiled, each time); `stand_in` (as a function, as a method, in copies) and
`reported` (what may be asked); `function` and `module`, which join them.
"""
