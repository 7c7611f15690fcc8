// @ts-check

/** The viewer of the page, if there is one. */
const viewerOfPage = () => /** @type {any} */ (document.querySelector(".viewer"))?.viewer;
