"""The course: lessons whose exercises are the framework's own definitions, and the `tito` command that runs it.

To read, in this order: `errors`, `manifest` (what `lessons/course.toml` says), `definitions` (a definition of the
framework as an exercise), `lesson` (a lesson as a notebook, solved or to be solved), `cells` (runs a notebook, in a
process of its own), `runs` (starts such processes, with a time limit), `checks` (what may be exported), `pieces`
(which lines of a cell), `imports` (whether the framework loads with them), `exporting` (the learner's definitions, as
the overlay reads them), `workspace` (the learner's folder), `checkpoint` (the framework's own tests on the learner's
code), `grading` (drives nbgrader), and `cli`.
"""
