/* Read from a disk, a page may not fetch others: search then lists its results without the lines around them. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
