"""From waits and holders to chains and the verdict."""
