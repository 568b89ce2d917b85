"""The course: needs the extra `course`, which the extra `test` brings."""
