"""What the page uses of Gradio beyond its documentation: where it may be used, and that the installed version has it."""

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest
from gradio import (
    blocks,
    component_meta,
    context,
    data_classes,
    events,
    queueing,
    route_utils,
    routes,
    state_holder,
    utils,
)
from gradio_client import utils as client_utils

from app import gradio_internals
from app.clip_box import ClipBox
from app.ui import layout

APP = Path(gradio_internals.__file__).parent
ADAPTER = Path(gradio_internals.__file__)
# What Gradio's documentation names besides `gr.*`: data classes of components, https://gradio.app/guides/backend
DOCUMENTED_MODULES = {"gradio", "gradio.data_classes"}
DOCUMENTED_NAMES = {*gradio.__all__, "components", "themes"}
# Attributes of Gradio's objects without an underscore that its documentation does not name.
UNDOCUMENTED_ATTRIBUTES = {
    *("api_visibility", "blocks_config", "default_config", "fns", "get_api_info", "get_blocks", "keep_in_cache"),
    *("load_input_event", "preprocess_data", "process_api", "root_block", "trigger_mode", "uploaded_file_dir"),
    *("session_data", "state_data", "state_holder", "time_last_used", "upload_file_set"),
    *(
        "active_jobs",
        "clean_events",
        "event_ids_to_events",
        "pending_event_ids_session",
        "pending_messages_per_session",
    ),
}
SIGNATURES = {
    blocks.Blocks.preprocess_data: ["self", "block_fn", "inputs", "state", "explicit_call"],
    blocks.Blocks.get_api_info: ["self", "all_endpoints", "page"],
    queueing.Queue.clean_events: ["self", "session_hash", "event_id"],
    routes.App.get_blocks: ["self"],
    component_meta.updateable: ["fn"],
    utils.get_upload_folder: [],
    utils.is_in_or_equal: ["path_1", "path_2"],
    utils.get_function_description: ["fn"],
    client_utils.is_file_obj_with_meta: ["d"],
    events.EventData.__init__: ["self", "target", "_data"],
}


@pytest.fixture(scope="module")
def page():
    return layout.build()


def private_uses(source: str) -> list[str]:
    """Names of Gradio in a module's source that its documentation does not promise."""
    uses = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            if node.module == "gradio":
                uses += [f"gradio.{name.name}" for name in node.names if name.name not in DOCUMENTED_NAMES]
        else:
            modules = []
        uses += [m for m in modules if m.split(".")[0].startswith("gradio") and m not in DOCUMENTED_MODULES]
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            private = node.attr.startswith("_") and not node.attr.startswith("__") and owner not in ("self", "cls")
            if private or node.attr in UNDOCUMENTED_ATTRIBUTES or (owner == "gr" and node.attr not in DOCUMENTED_NAMES):
                uses.append(f"{owner}.{node.attr}")
    return uses


def test_a_private_name_of_gradio_is_found():
    for source in (
        "from gradio.context import LocalContext",
        "import gradio.queueing",
        "from gradio import utils",
        "from gradio_client.utils import is_file_obj_with_meta",
        "page._queue",
        "scope['app'].get_blocks()",
        "gr.queueing.Queue",
        "event._data",
        "page.fns",
    ):
        assert private_uses(source), source
    assert not private_uses("import gradio as gr\ngr.Blocks\nself._value\nfrom gradio.data_classes import FileData")


@pytest.mark.parametrize("path", sorted(APP.rglob("*.py")), ids=lambda path: str(path.relative_to(APP)))
def test_only_the_adapter_uses_what_gradio_does_not_document(path):
    uses = private_uses(path.read_text(encoding="utf-8"))
    assert bool(uses) == (path == ADAPTER), uses


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_a_private_function_has_the_parameters_that_we_pass(function):
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_requests_pass_the_overridden_methods():
    parameters = inspect.signature(blocks.Blocks.process_api).parameters
    assert next(iter(parameters)) == "self" and {"block_fn", "inputs", "root_path"} <= set(parameters)
    assert inspect.iscoroutinefunction(blocks.Blocks.process_api)
    assert inspect.iscoroutinefunction(blocks.Blocks.preprocess_data)
    callers = inspect.getsource(route_utils) + inspect.getsource(queueing) + inspect.getsource(blocks)
    assert ".process_api(" in callers and "self.preprocess_data(" in callers
    assert ".get_api_info(" in inspect.getsource(routes)


@pytest.mark.slow
def test_the_queue_has_the_tables_that_we_read(page):
    queue = page._queue
    assert isinstance(queue, queueing.Queue) and isinstance(queue.max_size, int) and len(queue) == 0
    for table in (queue.event_ids_to_events, queue.pending_event_ids_session, queue.pending_messages_per_session):
        assert hasattr(table, "keys") and hasattr(table, "pop") and not table
    assert "self.alive = True" in inspect.getsource(queueing.Event) and "job.alive = False" in inspect.getsource(
        queueing.Queue.clean_events
    )


def test_the_request_that_a_thread_serves_is_in_context_variables():
    for name in ("blocks", "event_id"):
        assert getattr(context.LocalContext, name).get(None) is None
    assert not gradio_internals.client_has_left()


def test_functions_and_components_of_a_page_have_what_we_read(page):
    assert page.fns and all(isinstance(number, int) for number in page.fns)
    for function in page.fns.values():
        for name in ("fn", "name", "inputs", "api_name", "api_visibility", "trigger_mode"):
            assert hasattr(function, name), name
    assert all(isinstance(block.keep_in_cache, set) for block in page.blocks.values())
    assert gradio_internals.has_function(page, None, "classify") and gradio_internals.has_function(page, 0, None)
    assert not gradio_internals.has_function(page, 10**6, "no such name")


def test_of_several_quick_choices_of_an_example_the_last_one_counts(page):
    (*menus,) = [number for number, block in page.blocks.items() if isinstance(block, gradio.Dataset)]
    choices = [function for function in page.fns.values() for menu in menus if (menu, "click") in function.targets]
    assert len(menus) == len(choices) == 2
    assert {function.trigger_mode for function in choices} == {"always_last"}


def test_uploads_lie_where_gradio_says(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert gradio_internals.upload_folder() == tmp_path == Path(routes.App().uploaded_file_dir)
    (tmp_path / "clip.mp4").touch()
    assert gradio_internals.is_uploaded(str(tmp_path / "clip.mp4"))
    assert not gradio_internals.is_uploaded(str(tmp_path / "gone.mp4"))
    assert not gradio_internals.is_uploaded(__file__)
    assert gradio_internals.is_file_value({"path": "a", "meta": {"_type": "gradio.FileData"}})
    assert not gradio_internals.is_file_value({"path": "a"}) and not gradio_internals.is_file_value("a")


def test_a_file_of_our_own_is_deleted_when_an_upload_would_be(tmp_path):
    with gradio.Blocks() as page:
        pass
    file = tmp_path / "moment.webm"
    file.touch()
    gradio_internals.delete_in_time(page, file)
    route_utils.delete_files_created_by_app(page, age=60)
    assert file.exists()
    route_utils.delete_files_created_by_app(page, age=-1)
    assert not file.exists()


def test_sessions_without_state_make_room_for_results():
    with gradio.Blocks() as page:
        shown = gradio.State(None)
    gradio_internals.forget_sessions_without_state(page)  # it is not served yet
    page.state_session_capacity = 10
    holder = state_holder.StateHolder()
    holder.set_blocks(page)
    holder["visitor"][shown._id] = "result"
    assert holder["waiting"] and holder["program"]
    function = SimpleNamespace(concurrency_id="model")
    page._queue.event_ids_to_events["event"] = queueing.Event("waiting", function, None, None)
    gradio_internals.forget_sessions_without_state(page)
    assert list(holder.session_data) == list(holder.time_last_used) == ["visitor", "waiting"]


def test_a_menu_takes_what_was_added_for_a_visitor_whose_session_is_gone():
    menu = gradio.Dropdown(["*"], value="*")
    assert gradio_internals.take_any_text(menu) is menu and menu.preprocess("layer1.0") == "layer1.0"
    assert menu.preprocess(["layer1.0"]) == menu.preprocess(None) == ""


def test_what_a_component_sent_with_an_event_is_read_and_anything_else_is_nothing():
    assert gradio_internals.event_values(gradio.EventData(None, {"block": "b"})) == {"block": "b"}
    for other in (None, "text", [1]):
        assert gradio_internals.event_values(gradio.EventData(None, other)) == {}


def test_programs_read_the_descriptions_of_our_docstrings(page):
    (video, *_) = page.get_api_info()["named_endpoints"]["/classify"]["parameters"]
    assert video["python_type"]["description"] == "The video file."
    assert utils.get_function_description(lambda: None)[1] == {}


def test_the_files_of_a_pages_components_are_found_in_gradios_script(page):
    files = gradio_internals.component_files(page)
    assert len(files) == len(set(files)) > 20 and {Path(file).suffix for file in files} == {".js", ".css"}
    frontend = Path(gradio.__file__).parent / "templates" / "frontend"
    assert all((frontend / file).is_file() for file in files)
    assert any("HTML-" in file for file in files) and not any("hls" in file for file in files), "no film player"


def test_a_component_class_of_our_own_writes_no_file_and_is_updated_by_events():
    assert isinstance(gradio.HTML, component_meta.ComponentMeta) and type(ClipBox) is not type(gradio.HTML)
    assert ClipBox.__init__.__wrapped__ and not list(APP.rglob("*.pyi"))
    assert ClipBox.data_model.__mro__[1] is data_classes.GradioRootModel


def test_names_that_are_only_text_stand_in_gradios_source():
    header = gradio_internals.ADDRESS_HEADER.decode()
    assert header in inspect.getsource(route_utils.get_request_origin)
    gradio_internals.skip_usage_summary()
    assert "GRADIO_ANALYTICS_CACHE_FREQUENCY" in inspect.getsource(queueing.Queue)
    assert "window.gradio_config" in (Path(gradio.__file__).parent / "templates/frontend/index.html").read_text("utf-8")
    for name in ("api_info", "example_payload", "preprocess"):
        assert callable(getattr(gradio.components.Component, name)), name
