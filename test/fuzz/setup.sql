-- What the fuzz runs on, beside the programs that world.mjs makes.

\ir ../http/setup.sql
