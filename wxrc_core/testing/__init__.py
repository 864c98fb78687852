"""What others test their own stores and puppets with: contract suites, in-memory doubles that pass them, strategies."""
