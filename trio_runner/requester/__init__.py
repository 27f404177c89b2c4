"""The requester: submits tasks to a broker and awaits their results.

```python
async with open_requester("http://127.0.0.1:5679", auth_token=secret) as requester:
    total = await requester.run("return sum(item['json']['n'] for item in _items)", [{"n": 1}, {"n": 2}])
```
"""

from .client import Requester, RequesterStatistics, open_requester
from .output import Output, PrintedOutput
from .running import RunningTask

__all__ = ["Output", "PrintedOutput", "Requester", "RequesterStatistics", "RunningTask", "open_requester"]
