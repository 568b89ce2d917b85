"""Random programs, run in every way there is.

`features` is the table of what programs may do, each with a switch; `draft` holds a program while it is drawn;
`values`, `writes` and `training` draw its statements; `whole` draws a program; `run` runs one eagerly, by the
interpreter, as machine code and by torch; `compare` says where two runs part.
"""
