"""A stand-in for Hugging Face's hub, on the loopback address, with the faults that tests need.

It speaks the parts of the hub's API that `huggingface_hub` uses to read a file and to upload a
folder, and keeps everything in memory.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(?:/(preupload|commit|revision)/([^/]+))?")


class Repository:
    """Commits of files, branches and tags, and what is wrong with the repository."""

    def __init__(self, private=False):
        self.private, self.gated, self.refs, self.commits = private, False, {}, {}
        self.stated_sizes = {}  # of files, in place of their own sizes

    def commit(self, files, *names):
        """Add a commit, to which branches and tags move; return its hash."""
        commit = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs |= dict.fromkeys(names or ["main"], commit)
        return commit


class HubServer:
    """The hub: its repositories, and the requests that it got.

    `damaged` replaces the content of files without changing their hash; `cut` names files whose
    next download ends after so many bytes; `down` is the status of all answers; `tokens` are those
    that may read private repositories and upload.
    """

    def __init__(self):
        self.repositories, self.requests = {}, []
        self.damaged, self.cut, self.down, self.tokens = {}, {}, None, set()
        self.card_errors, self._is_stopped = [], False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub._answer(self)

            def do_GET(self):
                hub._answer(self)

            def do_POST(self):
                hub._answer(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Close the port, and answer on no connection any more."""
        self._is_stopped = True
        self._server.shutdown()
        self._server.server_close()

    def downloads(self, file):
        """Return the ranges of the downloads of a file; `None` for the whole one."""
        return [r for method, path, r in self.requests if method == "GET" and path.endswith(file)]

    def resolved(self):
        """Return the names of all files that were asked for."""
        return {
            path.partition("/resolve/")[2].partition("/")[2] for _, path, _ in self.requests
        } - {""}

    def _answer(self, request):
        path = urlsplit(request.path).path
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append((request.command, unquote(path), request.headers.get("Range")))
        if self._is_stopped:
            request.close_connection = True
            return None
        if self.down:
            return _send(request, self.down)
        if path == "/api/validate-yaml":
            errors = [{"message": text} for text in self.card_errors]
            return _send(request, 400 if errors else 200, {"errors": errors, "warnings": []})
        if path == "/api/repos/create":
            return self._create(request, json.loads(body))
        match = RESOLVE.fullmatch(path) or API.fullmatch(path)
        repository = self.repositories.get(match and match[1])
        has_login = request.headers.get("Authorization", "")[len("Bearer ") :] in self.tokens
        if repository is None or (repository.private and not has_login):
            return _send(request, 404 if has_login else 401, code="RepoNotFound")
        if path.startswith("/api/"):
            return self._api(request, repository, match[2], body, has_login)
        if repository.gated:
            return _send(request, 403, code="GatedRepo")
        return self._file(request, repository, unquote(match[2]), unquote(match[3]))

    def _file(self, request, repository, revision, name):
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return _send(request, 404, code="RevisionNotFound")
        if name not in repository.commits[commit]:
            return _send(request, 404, code="EntryNotFound", commit=commit)
        content = repository.commits[commit][name]
        etag = git_hash(content) if name.endswith(".json") else hashlib.sha256(content).hexdigest()
        size = repository.stated_sizes.get(name, len(content))
        headers = {"ETag": f'"{etag}"', "X-Linked-Size": size, "Accept-Ranges": "bytes"}
        content = self.damaged.get(name, content)
        start = int((request.headers.get("Range") or "bytes=0-")[len("bytes=") : -1])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.cut.pop(name, None) if request.command == "GET" else None
        status = 206 if start else 200
        return _send(request, status, content[start:], commit=commit, headers=headers, cut=cut)

    def _create(self, request, options):
        name = f"{options.get('organization') or 'me'}/{options['name']}"
        if request.headers.get("Authorization", "")[len("Bearer ") :] not in self.tokens:
            return _send(request, 401)
        if name in self.repositories:
            return _send(request, 409, {"url": f"{self.url}/{name}"})
        private = options.get("visibility") == "private" or bool(options.get("private"))
        self.repositories[name] = Repository(private)
        self.repositories[name].commit({})
        return _send(request, 200, {"url": f"{self.url}/{name}"})

    def _api(self, request, repository, action, body, has_login):
        if action == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return _send(request, 200, {"files": files})
        if action == "commit":
            if not has_login:
                return _send(request, 403)
            lines = [json.loads(line)["value"] for line in body.splitlines()]
            files = {v["path"]: base64.b64decode(v["content"]) for v in lines if "path" in v}
            commit = repository.commit(repository.commits[repository.refs["main"]] | files)
            answer = {"commitOid": commit, "commitUrl": f"{self.url}/me/net/commit/{commit}"}
            return _send(request, 200, answer)
        answer = {"id": "me/net", "sha": repository.refs["main"], "private": repository.private}
        return _send(request, 200, answer)


def git_hash(content):
    """Return the hash that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _send(request, status, content=b"", code=None, commit=None, headers=None, cut=None):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    given = {"X-Error-Code": code, "X-Repo-Commit": commit, **(headers or {})}
    for name, value in {**given, "Content-Length": len(content)}.items():
        if value is not None:
            request.send_header(name, str(value))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content[:cut])
    if cut is not None:
        request.close_connection = True
