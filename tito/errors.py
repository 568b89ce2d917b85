"""What went wrong, for a learner to read."""

from __future__ import annotations


class CourseError(Exception):
    """Something that a learner or a teacher can mend; the text says how."""
