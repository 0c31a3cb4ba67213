"""`python -m glm2x` is the same as `glm2x`."""

from glm2x.cli import main

main()
