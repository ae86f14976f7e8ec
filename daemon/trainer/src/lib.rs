//! One training job: read a job directory, train, write the results, exit.
