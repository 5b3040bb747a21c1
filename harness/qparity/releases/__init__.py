"""Which release of a package changed a verdict: releases are run one by one, as few of them as it takes."""
