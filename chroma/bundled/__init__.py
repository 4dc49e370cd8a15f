"""The images that come with the package, their licences, and the script that built them (`chroma.data` reads them)."""
