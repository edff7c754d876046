// Runs in OHIF, behind its configuration: where its logo would be stands the way back to our list. A classic script.
(() => {
  const given = new URLSearchParams(window.location.search).get("list") || "";
  const list = /^\/(\?[^#]*)?$/.test(given) ? given : "/";
  window.config.whiteLabeling = {
    createLogoComponentFn: (React) =>
      React.createElement("a", { href: list, "data-cy": "gantry-list", className: "text-primary flex items-center gap-2 px-3 text-base", title: "Back to the studies" }, "\u2039 Studies"),
  };
})();
