"""What programs and language models are told of each endpoint, and that every call which it allows is answered."""

import ast
import asyncio
import dataclasses
import json
import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, others_long
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from aia import AIAError
from aia.visualization.view import SCHEMA, View

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
VIEW = {"block": "layer2.0", "gate": "T", "frame": 2, "channel": 3, "scale": [0, 0.9], "colours": "magma"}
VIEW |= {"opacity": 0.7, "cells": True}
# The calls of every endpoint that its description allows, besides the clip: none of its options, and all of them.
CALLS = {
    "list_models": [{}],
    "classify": [{}, {"model": "small-none"}],
    "inspect": [{}, {"model": "small-stinc", "block": "layer2.0"}],
    "what_if": [
        {},
        {"model": "small-stinc", "mode": "identity", "blocks": ["layer1.0", "layer2.0"], "units": ["C", "T"]},
        {"mode": "shuffle", "blocks": "layer1.0, layer2.0", "units": "C, T"},
    ],
    "rank_blocks": [{}, {"model": "small-stinc", "mode": "shuffle"}],
    "compare": [{}, {"model": "small-stinc", "other_model": "small-none", "other_video": ..., "backwards": True}],
    "lesson": [{}, {"model": "small-stinc", "block": "layer2.0", "unit": "T"}],
    "export_view": [{}, {"model": "small-cinst", "format": "values.csv", "view": VIEW}, {"view": {"gate": "C"}}],
    "as_python": [{}, {"model": "small-cinst", "view": VIEW}, {"view": {"gate": "C", "channel": None}}],
}
# What does not fit, and a part of the sentence that says so: to a tool, whose values are checked before, and to a program.
REFUSED = [
    ("classify", {"model": "someone/else"}, "someone/else", "someone/else"),
    ("classify", {"model": 7}, "7 is not of type 'string'", "There is no model '7'"),
    ("inspect", {"block": "layer9.9"}, "layer9.9", "layer9.9"),
    ("inspect", {"block": ["layer1.0"]}, "not of type 'string'", "There are no gates"),
    ("what_if", {"mode": "sideways"}, "'sideways' is not one of", "mean, identity, shuffle"),
    ("what_if", {"blocks": ["layer9.9"]}, "layer9.9", "layer9.9"),
    ("what_if", {"blocks": 3}, "3 is not valid", "no block '3'"),
    ("what_if", {"units": ["Q"]}, "choose at least one of", "choose at least one of C, H, T, W"),
    ("what_if", {"units": {"C": True}}, "not valid", "choose at least one of C, H, T, W"),
    ("rank_blocks", {"mode": "off"}, "'off' is not one of", "off"),
    ("compare", {"backwards": "perhaps"}, "not of type 'boolean'", "backwards is true or false"),
    ("compare", {"backwards": 2}, "not of type 'boolean'", "backwards is true or false"),
    ("compare", {"other_model": "nothing"}, "nothing", "nothing"),
    ("lesson", {"unit": "Q"}, "no unit 'Q'", "no unit 'Q'"),
    ("export_view", {"format": "virus.exe"}, "'virus.exe' is not one of", "frame.png"),
    ("export_view", {"view": "nonsense"}, "not of type 'object'", "A view is an object"),
    ("export_view", {"view": 5}, "not of type 'object'", "A view is an object"),
    ("export_view", {"view": [VIEW]}, "not of type 'object'", "A view is an object"),
    ("export_view", {"view": {"frame": 99}}, "no frame 99", "no frame 99"),
    ("as_python", {"view": {"frame": -1}}, "less than the minimum", "frame must be a whole number"),
    ("as_python", {"view": {"gate": "Z"}}, "'Z' is not one of", "gate must be combined"),
    ("as_python", {"view": {"cells": "perhaps"}}, "not of type 'boolean'", "cells must be true or false"),
    ("as_python", {"view": {"scale": [1]}}, "too short", "scale must be one of"),
    ("as_python", {"view": "[" * 300}, "not of type 'object'", "A view is an object"),
]


# ---- a client of each kind


def fetched(address: str, path: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(asked, timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def upload(address: str) -> str:
    """The path of the example, once it is uploaded."""
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="clip.mp4"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    body = head + EXAMPLE.read_bytes() + b"\r\n--B--\r\n"
    asked = urllib.request.Request(f"{address}/gradio_api/upload", body, kind)
    return json.load(urllib.request.urlopen(asked, timeout=60))[0]


class Tools:
    """A client of MCP."""

    def __init__(self, server):
        self.address, self.models = server
        self.clip = f"{self.address}/gradio_api/file={upload(self.address)}"

    def __call__(self, name: str, arguments: dict) -> list:
        """What a tool answers.

        Raises:
            AppError: What it said instead.
        """
        answer = self.session(lambda session: session.call_tool(name, arguments))
        if answer.isError:
            raise AppError(answer.content[0].text)
        return answer.content

    def session(self, ask):
        async def asked():
            async with streamable_http_client(f"{self.address}/gradio_api/mcp/") as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    return await ask(session)

        with ThreadPoolExecutor(1) as pool:  # the browser's tests have an event loop in this thread
            return pool.submit(asyncio.run, asked()).result()


class Library:
    """Gradio's own client."""

    def __init__(self, server, client):
        self.client, self.models, self.clip = client, server[1], handle_file(str(EXAMPLE))

    def __call__(self, name: str, arguments: dict) -> list:
        found = self.client.predict(**arguments, api_name=f"/{name}")
        return list(found) if isinstance(found, tuple) else [found]


class Named:
    """Plain HTTP, with names."""

    def __init__(self, server):
        self.address, self.models = server
        self.clip = {"path": upload(self.address), "meta": {"_type": "gradio.FileData"}}

    def __call__(self, name: str, arguments: dict) -> list:
        return self.wait(name, fetched(self.address, f"/gradio_api/call/v2/{name}", arguments))

    def wait(self, name: str, said: str) -> list:
        said = json.loads(said)
        if "event_id" not in said:
            raise AppError(said["detail"])
        stream = fetched(self.address, f"/gradio_api/call/{name}/{said['event_id']}")
        kind, found = re.findall(r"event: (complete|error)\ndata: (.*)", stream)[-1]
        if kind == "error":
            raise AppError(json.loads(found)["error"])
        return json.loads(found)


class Placed(Named):
    """Plain HTTP, with a value in every place and null for what is left out."""

    def __call__(self, name: str, arguments: dict) -> list:
        told = json.loads(fetched(self.address, "/gradio_api/info"))["named_endpoints"][f"/{name}"]["parameters"]
        data = [arguments.get(one["parameter_name"]) for one in told]
        return self.wait(name, fetched(self.address, f"/gradio_api/call/{name}", {"data": data}))


@pytest.fixture(scope="module", params=others_long([Tools, Library, Named, Placed], Tools))
def ask(request, server, client):
    """A client that calls an endpoint with the example clip and more arguments; a model is named without its folder."""
    caller = request.param(server, client) if request.param is Library else request.param(server)

    def asked(name: str, arguments: dict) -> list:
        arguments = {key: caller.clip if value is ... else value for key, value in arguments.items()}
        for key in arguments.keys() & {"model", "other_model"}:
            named = (folder for folder in caller.models if Path(folder).name == arguments[key])
            arguments[key] = next(named, arguments[key])
        return caller(name, arguments if name == "list_models" else {"video": caller.clip} | arguments)

    asked.kind = request.param
    return asked


@pytest.fixture(scope="module")
def tools(server):
    return {tool.name: tool for tool in Tools(server).session(lambda session: session.list_tools()).tools}


# ---- what they are told


def parts(schema, at=""):
    """Every schema within one, and where it is."""
    yield at, schema
    for name, one in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield from parts(one, f"{at}/{name}")
    for key in ("anyOf", "items"):
        found = schema.get(key, [])
        for one in found if isinstance(found, list) else [found]:
            yield from parts(one, f"{at}/{key}")


def check(schema: dict, name: str) -> None:
    Draft202012Validator.check_schema(schema)
    for at, one in parts(schema):
        assert one.get("type") or one.get("anyOf") or one.get("$ref") or "const" in one, f"{name}{at} has no type"
        if "default" in one:
            Draft202012Validator(one).validate(one["default"])


def test_every_tools_schema_is_valid_and_tells_each_argument(tools):
    assert set(tools) == set(CALLS)
    for name, tool in tools.items():
        schema = tool.inputSchema
        check(schema, name)
        assert schema["type"] == "object" and schema.get("required", []) == ["video"] * (name != "list_models")
        for argument, told in schema["properties"].items():
            assert len(told["description"]) > 10, (name, argument)
            assert argument in ("video", "other_video", "view") or "default" in told, (name, argument)
        asked = set().union(*CALLS[name]) | set(schema.get("required", []))
        assert asked == set(schema["properties"]), "the calls below use every argument"
    mode, format = (
        tools["what_if"].inputSchema["properties"]["mode"],
        tools["export_view"].inputSchema["properties"]["format"],
    )
    assert mode["enum"] == ["mean", "identity", "shuffle"] and "figure.pdf" in format["enum"]
    for name in ("export_view", "as_python"):
        view = tools[name].inputSchema["properties"]["view"]
        assert view["type"] == "object" and list(view["properties"]) == [
            field.name for field in dataclasses.fields(View)
        ]


def test_the_pages_description_has_a_type_for_every_value(server):
    told = json.loads(fetched(server[0], "/gradio_api/info"))["named_endpoints"]
    for name, endpoint in told.items():
        for one in (*endpoint["parameters"], *endpoint["returns"]):
            check(one["type"], name)
            assert one["python_type"]["type"] not in ("Any", "str | float | bool | list | dict"), (name, one["label"])
        for one in endpoint["parameters"]:
            assert (
                len(one["python_type"]["description"]) > 10 and "GradioModel" not in one["python_type"]["description"]
            )
            assert "http" not in json.dumps(one["example_input"]), "no clip is fetched from an address"
            if "path" not in one["type"].get("properties", {}):
                Draft202012Validator(one["type"]).validate(one["example_input"])
    for path in json.loads(fetched(server[0], "/gradio_api/openapi.json"))["paths"].values():
        for schema in re.findall(r'"schema": (\{.*)', json.dumps(path)):
            Draft202012Validator.check_schema(json.JSONDecoder().raw_decode(schema)[0])


def fits(value: dict) -> bool:
    try:
        View.from_state(value)
    except AIAError:
        return False
    return True


def test_the_schema_of_a_view_is_what_a_view_takes():
    Draft202012Validator.check_schema(SCHEMA)
    told = Draft202012Validator(SCHEMA)
    defaults = {name: one["default"] for name, one in SCHEMA["properties"].items()}
    assert View(**defaults) == View(), "the defaults too"
    values = [0, 1, 7, 10**6, 10**6 + 1, -1, 0.5, 1.5, -0.1, True, False, [], [0, 1], [0.2, 0.2], [1], [1, 2, 3], {}]
    values += [
        "",
        "x" * 100,
        "x" * 101,
        "combined",
        "C",
        "1.W",
        "3.C",
        "c",
        "absolute",
        "clip",
        "video",
        "viridis",
        "jet",
    ]
    for name in SCHEMA["properties"]:
        taken = [value for value in values if told.is_valid({name: value})]
        assert 0 < len(taken) < len(values) and all(fits({name: value}) for value in taken), name
        lenient = (
            (0, 1, "") if name == "cells" else ("",)
        )  # numbers for true and false, and fields of a form left empty
        assert [value for value in values if fits({name: value}) and value not in taken and value not in lenient] == []


# ---- what they are answered


@pytest.mark.long
def test_every_endpoint_answers_every_kind_of_client_with_and_without_options(ask):
    for name, calls in CALLS.items():
        answers = [ask(name, arguments) for arguments in calls]
        assert all(answers), name
        told = [str(getattr(answer[0], "text", answer[0])) for answer in answers]
        assert name == "export_view" or len(set(told)) == len(calls), f"the options of {name} count"


def test_a_tools_answer_is_the_librarys(server, client):
    tools, library = Tools(server), Library(server, client)
    for name, arguments in (("classify", {}), ("what_if", {"units": ["C"]}), ("rank_blocks", {})):
        (said,), (wanted,) = (
            tools(name, {"video": tools.clip, **arguments}),
            library(name, {"video": library.clip, **arguments}),
        )
        assert ast.literal_eval(said.text) == wanted
    (told,) = tools("export_view", {"video": tools.clip, "format": "values.csv", "view": VIEW})
    (file,) = library("export_view", {"video": library.clip, "format": "values.csv", "view": VIEW})
    assert fetched("", told.text).splitlines() == Path(file).read_text(encoding="utf-8").splitlines()
    picture, address = tools("export_view", {"video": tools.clip, "format": "frame.png"})
    assert picture.type == "image" and picture.mimeType == "image/png" and server[0] in address.text
    (program,) = tools("as_python", {"video": tools.clip, "view": VIEW})
    assert "gate='T'" in program.text and compile(program.text, "view", "exec")


def test_a_tool_takes_null_for_a_default_and_the_text_of_an_object(server, tools):
    ask = Tools(server)

    def program(arguments: dict) -> str:
        return ask("as_python", {"video": ask.clip} | arguments)[0].text

    defaults = dict.fromkeys(tools["as_python"].inputSchema["properties"].keys() - {"video"})
    assert program(defaults) == program({})
    assert program({"view": json.dumps(VIEW)}) == program({"view": VIEW}) != program({})
    assert program({"view": {"channel": None}}) == program({}), "a part of a view may be null"


def plain(said: str) -> str:
    """What an error says: one sentence, no trace, no path of this server, no number of a bug."""
    assert said and "\n" not in said.strip() and len(said) < 500, said
    assert not re.search(r"Traceback|File \"|Error:|/tmp/|site-packages|\.py\b|report number", said), said
    return said


@pytest.mark.long
def test_what_does_not_fit_gets_one_sentence(ask):
    for name, arguments, of_tool, of_program in REFUSED:
        with pytest.raises(AppError) as error:
            ask(name, arguments)
        assert (of_tool if ask.kind is Tools else of_program) in plain(str(error.value)), (name, arguments)


def test_a_missing_clip_and_an_unknown_argument_get_one_sentence(ask):
    for arguments in ({"video": None}, {"video": 5}, {"video": "clip.mp4"}, {"nonsense": 1}):
        if "nonsense" in arguments and ask.kind is Placed:
            continue  # it has no names
        with pytest.raises((AppError, TypeError, ValueError)) as error:
            ask("classify", arguments)
        plain(str(error.value))


@pytest.mark.long
def test_null_and_text_stand_for_a_view_and_for_defaults_where_a_program_sends_them(server):
    placed = Placed(server)
    (program,) = placed("as_python", {"video": placed.clip, "view": json.dumps(VIEW)})
    assert program == placed("as_python", {"video": placed.clip, "view": VIEW})[0]
    for nothing in (None, "", "null", {}):
        (shown,) = placed("as_python", {"video": placed.clip, "view": nothing})
        assert "View('layer" in shown and "gate=" not in shown
    (answer,) = placed("compare", {"video": placed.clip, "backwards": "false"})
    assert answer["a"]["frames"] == answer["b"]["frames"]
    (answer,) = placed("compare", {"video": placed.clip, "backwards": "True"})
    assert answer["a"]["frames"] == answer["b"]["frames"][::-1]
    with pytest.raises(AppError, match="A view is an object"):
        placed("as_python", {"video": placed.clip, "view": "[" * 100_000})
