"""/docs: Swagger UI from an installed package; the page loads nothing from other hosts."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

_ONLY_FROM_HERE = "default-src 'self' 'unsafe-inline'; img-src 'self' data:"


def add_docs(app: FastAPI) -> None:
    """Serve the interactive documentation of `app`, also behind a path prefix."""

    def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} {app.version}",
            swagger_js_url="docs/static/swagger-ui-bundle.js",
            swagger_css_url="docs/static/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters={"validatorUrl": None},
        )
        page.headers["content-security-policy"] = _ONLY_FROM_HERE
        return page

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/docs/static", StaticFiles(directory=str(files("fastapi_offline") / "static")))
