"""The systems analyses of the course: short scripts that measure, and the pages that they write.

`record` is what an analysis is made of, `measuring` takes times and memory, `drawing` starts a picture, `running` finds
them; then one file for each module of the course, with `analyze(*, quick=False, …) -> Analysis`. Its other parameters
are the definitions under study, so that a lesson measures the learner's own code. `tinytorch analyze 02` runs one.
"""
