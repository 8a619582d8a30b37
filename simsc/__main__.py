"""`python -m simsc`, and `python -m mpi4py -m simsc` under an MPI launcher."""

from simsc.cli.main import main

if __name__ == "__main__":
    main()
