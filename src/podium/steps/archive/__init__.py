"""Moving, proving and cleaning the record: exports, bundles, backups, doctor, reproduction."""
