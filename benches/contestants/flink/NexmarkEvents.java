import org.apache.flink.connector.datagen.source.GeneratorFunction;

/** The events of Nexmark: those of {@code nexmark.rs}. */
final class NexmarkEvents {
    private static final long FIRST_ID = 1000;
    private static final long TOTAL = 50;
    private static final long PERSONS = 1;
    private static final long AUCTIONS = 3;
    private static final long OPEN = 100;
    private static final long ACTIVE = 1000;
    private static final long LEAD = 10;
    private static final long PER_MILLI = 10;
    private static final long OPEN_MILLIS = OPEN * TOTAL / AUCTIONS / PER_MILLI;
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    private static final String[] CITIES = {"Phoenix", "Los Angeles", "Boise", "Portland", "Seattle", "Cheyenne"};
    private static final String[] FIRST = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky"};
    private static final String[] LAST = {"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton"};
    private static final String[] CHANNELS = {"Google", "Facebook", "Baidu", "Apple"};
    private static final String FILLING = filling();

    private static String filling() {
        StringBuilder letters = new StringBuilder();
        for (int index = 0; index < 4096; index++) {
            letters.append((char) ('a' + Long.remainderUnsigned(Contestant.mix(index), 26)));
        }
        return letters.toString();
    }

    public static class Person {
        public long id;
        public String name;
        public String city;
        public String state;
        public long time;
        public String extra;
    }

    public static class Auction {
        public long id;
        public long seller;
        public long category;
        public long reserve;
        public long time;
        public long expires;
        public String extra;
    }

    public static class Bid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String url;
        public long time;
        public String extra;
    }

    /** One of the three. */
    public static class Event {
        public Person person;
        public Auction auction;
        public Bid bid;

        long time() {
            return bid != null ? bid.time : auction != null ? auction.time : person.time;
        }
    }

    private static final class Random {
        private long state;

        Random(long state) {
            this.state = state;
        }

        long below(long limit) {
            state++;
            return (Contestant.mix(state) >>> 1) % limit;
        }

        long price() {
            long magnitude = 1;
            for (long times = below(6); times > 0; times--) {
                magnitude *= 10;
            }
            long digits = (1 + below(9)) * magnitude * 100;
            return digits + below(100 * magnitude);
        }

        String filling(int length) {
            int start = (int) below(4096 - 512);
            return FILLING.substring(start, start + length);
        }

        String of(String[] all) {
            return all[(int) below(all.length)];
        }
    }

    private static long lastPerson(long index) {
        return index / TOTAL;
    }

    private static long lastAuction(long index) {
        long epoch = index / TOTAL;
        long offset = index % TOTAL;
        if (offset < PERSONS) {
            return Math.max(epoch * AUCTIONS - 1, 0);
        }
        return epoch * AUCTIONS + Math.min(offset - PERSONS, AUCTIONS - 1);
    }

    private static long somePerson(long index, Random random) {
        long all = lastPerson(index) + 1;
        long active = Math.min(all, ACTIVE);
        return all - active + random.below(active + LEAD);
    }

    private static long someAuction(long index, Random random) {
        long last = lastAuction(index);
        long first = Math.max(last - OPEN, 0);
        return first + random.below(last - first + 1 + LEAD);
    }

    public static class Events implements GeneratorFunction<Long, Event> {
        @Override
        public Event map(Long index) {
            Random random = new Random(Contestant.mix(index));
            long offset = index % TOTAL;
            Event event = new Event();
            if (offset < PERSONS) {
                event.person = person(index, random);
            } else if (offset < PERSONS + AUCTIONS) {
                event.auction = auction(index, random);
            } else {
                event.bid = bid(index, random);
            }
            return event;
        }

        private static Person person(long index, Random random) {
            Person person = new Person();
            person.id = FIRST_ID + lastPerson(index);
            person.name = random.of(FIRST) + " " + random.of(LAST);
            int place = (int) random.below(STATES.length);
            person.city = CITIES[place];
            person.state = STATES[place];
            person.time = index / PER_MILLI;
            person.extra = random.filling(150);
            return person;
        }

        private static Auction auction(long index, Random random) {
            Auction auction = new Auction();
            boolean hot = random.below(4) > 0;
            auction.id = FIRST_ID + lastAuction(index);
            auction.seller = FIRST_ID + (hot ? lastPerson(index) / 100 * 100 : somePerson(index, random));
            auction.category = 10 + random.below(5);
            auction.reserve = random.price();
            auction.time = index / PER_MILLI;
            auction.extra = random.filling(450);
            auction.expires = auction.time + 1 + random.below(2 * OPEN_MILLIS);
            return auction;
        }

        private static Bid bid(long index, Random random) {
            Bid bid = new Bid();
            boolean hot = random.below(2) > 0;
            bid.auction = FIRST_ID + (hot ? lastAuction(index) / 100 * 100 : someAuction(index, random));
            hot = random.below(4) > 0;
            bid.bidder = FIRST_ID + (hot ? lastPerson(index) / 100 * 100 + 1 : somePerson(index, random));
            bid.price = random.price();
            long number = -1;
            if (random.below(2) > 0) {
                bid.channel = random.of(CHANNELS);
            } else {
                number = random.below(10_000);
                bid.channel = "channel-" + number;
            }
            long page = random.below(1000);
            bid.time = index / PER_MILLI;
            bid.extra = random.filling(40);
            bid.url = number >= 0 && random.below(10) > 0
                    ? "https://www.nexmark.com/" + bid.channel + "/item.htm?query=" + page + "&channel_id=" + number
                    : "https://www.nexmark.com/" + bid.channel + "/item.htm?query=" + page;
            return bid;
        }
    }

    private NexmarkEvents() {}
}
