"""What `scripts/run`, `scripts/test` and the black-box tests share: the processes of the local stack."""
