"""Read the contents of many files of a git repository with one Git process."""

import subprocess
from collections.abc import Iterable, Iterator

from data_recipes.disk.safe_git import SafeGit
from data_recipes.errors import DataError


class BlobReader(SafeGit):
    """Git in one folder, executing nothing that the repository names, which also reads many blobs."""

    def contents(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the content of each blob; None for one that the repository lacks.

        Raises:
            DataError: Git can't be run, or ends early.
        """
        words = ["git", "--no-pager", "-C", str(self.folder), "cat-file", "--batch"]
        try:
            process = subprocess.Popen(
                words,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise DataError(f"git can't be run ({error.strerror}). Install Git, or pass a plain folder.") from error
        with process:
            asked, answers = process.stdin, process.stdout
            if asked is None or answers is None:  # both are pipes
                return
            try:
                for name in names:
                    asked.write(f"{name}\n".encode())
                    asked.flush()
                    about = answers.readline().split()
                    if not about:
                        raise DataError(f"git cat-file ended early in {self.folder}. `git fsck` says what is damaged.")
                    if about[-1] == b"missing":
                        yield None
                        continue
                    data = answers.read(int(about[-1]))
                    answers.read(1)
                    yield data
            except OSError as error:
                raise DataError(f"git cat-file ended early in {self.folder} ({error.strerror}).") from error
            finally:
                process.kill()
