package oxmq.compat.vectors;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.namesrv.processor.ClientRequestProcessor;
import org.apache.rocketmq.namesrv.processor.DefaultRequestProcessor;
import org.apache.rocketmq.namesrv.routeinfo.RouteInfoManager;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.body.TopicConfigSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;

/** Answers of Apache's own nameserver, from its processors, with two brokers registered. */
final class Routes {
    private Routes() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("Answers of Apache's nameserver with a master and a slave of broker-a and a master of "
            + "broker-b registered, each with the topics TopicTest (8 read, 4 write queues) and Ordered (1, 1, perm 4).");
        NamesrvConfig config = new NamesrvConfig();
        config.setRocketmqHome("/nowhere");
        config.setKvConfigPath("/nowhere/kvConfig.json");
        config.setOrderMessageEnable(false);
        NamesrvController controller = new NamesrvController(config, new NettyServerConfig());
        RouteInfoManager routes = controller.getRouteInfoManager();
        TopicConfigSerializeWrapper topics = new TopicConfigSerializeWrapper();
        topics.setTopicConfigTable(new ConcurrentHashMap<>(Bodies.topics()));
        topics.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        register(routes, "broker-a", 0, "127.0.0.1:10911", topics);
        register(routes, "broker-a", 1, "127.0.0.1:10921", topics);
        register(routes, "broker-b", 0, "127.0.0.1:10931", topics);

        ClientRequestProcessor clients = new ClientRequestProcessor(controller);
        route(file, clients, "route/quoted", "to clients of 4.9.4 (401) and later: keys quoted and sorted", "TopicTest", 401, null);
        route(file, clients, "route/unquoted", "to older clients: numbers as keys unquoted", "TopicTest", 400, null);
        route(file, clients, "route/standard-json", "to an older client that asks for standard JSON", "Ordered", 400, true);
        route(file, clients, "route/missing", "an unknown topic", "NoSuchTopic", 513, null);
        EmbeddedChannel channel = new EmbeddedChannel(new ChannelInboundHandlerAdapter());
        ChannelHandlerContext context = channel.pipeline().context(ChannelInboundHandlerAdapter.class);
        DefaultRequestProcessor others = new DefaultRequestProcessor(controller);
        answer(file, "cluster-info", "GET_BROKER_CLUSTER_INFO",
            others.processRequest(context, Frame.request(RequestCode.GET_BROKER_CLUSTER_INFO, null)));
        answer(file, "topic-list", "GET_ALL_TOPIC_LIST_FROM_NAMESERVER",
            others.processRequest(context, Frame.request(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, null)));
        answer(file, "system-topic-list", "GET_SYSTEM_TOPIC_LIST_FROM_NS",
            others.processRequest(context, Frame.request(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, null)));
        return file;
    }

    private static void register(RouteInfoManager routes, String name, long id, String address,
        TopicConfigSerializeWrapper topics) {
        routes.registerBroker("DefaultCluster", address, name, id, address, null, 120_000L, false, topics,
            new ArrayList<>(), new EmbeddedChannel());
    }

    private static void route(VectorFile file, ClientRequestProcessor processor, String name, String meaning, String topic,
        int version, Boolean standardJson) throws Exception {
        GetRouteInfoRequestHeader header = new GetRouteInfoRequestHeader();
        header.setTopic(topic);
        header.setAcceptStandardJsonOnly(standardJson);
        RemotingCommand request = Frame.request(RequestCode.GET_ROUTEINFO_BY_TOPIC, header);
        request.makeCustomHeaderToNet();
        request.setVersion(version);
        answer(file, name, meaning, processor.processRequest(null, request));
    }

    private static void answer(VectorFile file, String name, String meaning, RemotingCommand response) {
        Map<String, Object> vector = file.add(name, meaning);
        vector.put("code", response.getCode());
        vector.put("remark", response.getRemark());
        vector.put("text", response.getBody() == null ? null : new String(response.getBody(), StandardCharsets.UTF_8));
    }
}
