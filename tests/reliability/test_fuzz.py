"""However mangled the input: a result, or one line. benchmarks/fuzz.py does the same 20,000 times."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability import fuzz

EXAMPLES = {"scenario": 100, "expectations": 100, "run folder": 15, "arguments": 40, "data file": 100, "script": 6}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_mangled_input_is_a_result_or_one_line(kind, tmp_path_factory):
    strategy, check = fuzz.KINDS[kind]
    folder = tmp_path_factory.mktemp("fuzz")

    @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.shared(strategy))
    def examples(value):
        with fuzz.watched(folder):
            check(value, folder)

    examples()
