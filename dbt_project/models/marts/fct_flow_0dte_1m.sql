with bars as (

    select * from {{ ref('stg_lake__live_flow') }}

),

minutes as (

    select
        underlying,
        session_date,
        event_at as minute_at,
        "right",
        max(known_at) as known_at,

        -- flow
        sum(trades)::bigint as trades,
        sum(volume_contracts) as volume_contracts,
        sum(bought_contracts) as bought_contracts,
        sum(sold_contracts) as sold_contracts,
        sum(premium_usd) as premium_usd,
        sum(signed_premium_usd) as signed_premium_usd,
        sum(hedge_flow_usd) as hedge_flow_usd,
        sum(absolute_hedge_flow_usd) as absolute_hedge_flow_usd,
        sum(gamma_flow_usd_per_pct) as gamma_flow_usd_per_pct,

        -- volume by size of print
        sum(if(size_bucket = '1', volume_contracts, 0.0)) as volume_of_1,
        sum(if(size_bucket = '2-9', volume_contracts, 0.0)) as volume_of_2_to_9,
        sum(if(size_bucket = '10-99', volume_contracts, 0.0)) as volume_of_10_to_99,
        sum(if(size_bucket = '100+', volume_contracts, 0.0)) as volume_of_100_and_more,
    from bars
    where "interval" = 'minute'
        and tenor = '0dte'
    group by underlying, session_date, event_at, "right"

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            underlying,
            strftime(minute_at at time zone 'UTC', '%Y-%m-%dT%H:%MZ'),
            "right"
        ) as flow_0dte_id,
        concat_ws('|', underlying, session_date) as session_id,
        underlying,
        session_date,
        minute_at,
        known_at,
        "right",

        -- flow
        trades,
        volume_contracts,
        bought_contracts,
        sold_contracts,
        premium_usd,
        signed_premium_usd,
        hedge_flow_usd,
        absolute_hedge_flow_usd,
        gamma_flow_usd_per_pct,

        -- volume by size of print
        volume_of_1,
        volume_of_2_to_9,
        volume_of_10_to_99,
        volume_of_100_and_more,

        -- since the open
        sum(volume_contracts) over session_so_far as cumulative_volume_contracts,
        sum(hedge_flow_usd) over session_so_far as cumulative_hedge_flow_usd,
        sum(absolute_hedge_flow_usd) over session_so_far as cumulative_absolute_hedge_flow_usd,
    from minutes
    window session_so_far as (
        partition by underlying, session_date, "right"
        order by minute_at
        rows unbounded preceding
    )

)

select * from final
