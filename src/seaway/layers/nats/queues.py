from seaway.layers.queues import Queues


class NatsQueues(Queues):
    def _begin_queues(self): pass
    def _end_waiting(self): pass
    async def _follow_again(self): pass
    async def _keep_tidy(self): pass
    async def send(self,*a,**k): raise NotImplementedError
    receive=ack=nack=extend=close_channel=open_channel=channels=queue_state=purge=dead_letters=replay=discard=send
